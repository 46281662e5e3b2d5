"""What `nnunet_textguided doctor` looks at: one module a subject; each function returns one or more `Check`s."""
