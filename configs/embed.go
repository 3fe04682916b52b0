// Package configs holds the example configurations and the documented sequences, so that
// the command has them wherever it runs. It holds nothing else.
package configs

import "embed"

// FS has each example under its file's name: "veth.yaml".
//
//go:embed *.yaml
var FS embed.FS

// Sequences has each documented sequence as "sequences/handshake.yaml".
//
//go:embed sequences/*.yaml
var Sequences embed.FS
