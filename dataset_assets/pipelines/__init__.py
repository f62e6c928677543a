"""One public function per asset of the graph, which composes the folders below. No Dagster here."""
