"""What stands in README.md and docs/ and is made from results or from the code, not by hand."""
