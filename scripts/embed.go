package scripts

import _ "embed"

// HelloClient is hello_client.py.
//
//go:embed hello_client.py
var HelloClient string

// ExitPeer is exit_peer.py.
//
//go:embed exit_peer.py
var ExitPeer string

// HelloServer is hello_server.py.
//
//go:embed hello_server.py
var HelloServer string

// EchoClient is echo_client.py.
//
//go:embed echo_client.py
var EchoClient string
