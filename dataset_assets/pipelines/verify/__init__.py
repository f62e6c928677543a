"""`verify`: does a shard set, a split or a publication hold what its records say?"""
