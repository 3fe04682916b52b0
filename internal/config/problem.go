package config

import "appliance/tracer/strictyaml"

// Problem is one thing wrong with a configuration.
type Problem = strictyaml.Problem

// Error is all that is wrong with a configuration, in the order of its lines.
type Error = strictyaml.Error
