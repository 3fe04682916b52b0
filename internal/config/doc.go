// Package config reads the appliance's configuration: strict YAML, turned into the
// options of each package.
//
// Its rules:
//
//   - What a file leaves out has the value that [Default] gives it. A list in a
//     file replaces the default's list.
//   - An unknown key, a key given twice, a value of the wrong shape or a value that
//     makes no sense with another is an error. Nothing is guessed.
//   - All errors are reported, not only the first, each with file, line and
//     column, and with what is allowed: see [Problem].
//   - Reading a configuration touches nothing: no interface, no namespace, no file
//     but the one that is read.
//   - No key does nothing.
//
// Each key is described once, in this package's table of documentation. The
// commented YAML of [Config.Marshal] and the JSON Schema of [Schema] are both made
// from it.
package config
