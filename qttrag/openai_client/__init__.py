"""The client of OpenAI-compatible servers: load balancing, retries, capabilities, errors."""
