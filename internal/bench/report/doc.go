// Package report is what a benchmark found: its cases and their names, the figures
// with their spread, the ratios to the kernel's own, the targets that they meet or
// miss; and the forms in which people and programs read it. It measures nothing.
package report
