"""The product on pretrained weights; `make test-real` creates the environment."""
