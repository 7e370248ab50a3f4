environment = "dev"
account     = "536580886816"
region      = "eu-west-1"
