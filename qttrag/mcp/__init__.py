"""qttrag as tools for agents: a server of the Model Context Protocol, over standard input and output or HTTP.

The package of the official SDK is `mcp` (pip install 'qttrag[mcp]')."""
