"""Label maps and the shapes drawn into them: polygons, run lengths. No dataset is known here."""
