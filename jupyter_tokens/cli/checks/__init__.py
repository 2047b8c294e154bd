"""What `jupyter tokens doctor` looks at: a module for each neighbourhood; none of them changes or prints anything."""
