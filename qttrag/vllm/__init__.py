"""Starting and stopping vLLM for the models of a deployment."""
