"""What `workers doctor` looks at: one module for each thing that the workers depend on."""
