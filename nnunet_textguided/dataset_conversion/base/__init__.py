"""What every converter shares: tasks, geometry, splits by patient, the manifest, running them with many processes."""
