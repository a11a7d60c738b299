"""RDS's wire protocol by the service model that botocore ships."""
