"""The facts of all files in, the index out: names are followed through the imports of the tree."""
