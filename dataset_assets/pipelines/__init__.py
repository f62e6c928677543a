"""One public function per asset of the graph: each composes the folders below and adds no algorithm of its own. No Dagster here."""
