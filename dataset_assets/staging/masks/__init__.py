"""Label maps and what is drawn into them: polygons and run lengths. Knows no dataset."""
