score = lift("object_height", by=0.067, approach="object_distance")
