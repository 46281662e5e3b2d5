"""DICOM as the public data sets have it: headers, stacks of parallel slices, volumes, and a study's series."""
