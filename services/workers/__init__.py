"""The running system's parts as processes: each part is a fold (services/processors) that a Faust app runs on Kafka."""
