package scripts

import _ "embed"

// HelloClient is hello_client.py.
//
//go:embed hello_client.py
var HelloClient string
