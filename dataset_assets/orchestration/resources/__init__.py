"""What assets are given: a file is a resource. Resources hand out plain library objects; no asset logic here."""
