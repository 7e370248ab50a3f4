environment = "sit"
account     = "815856636111"
region      = "eu-west-1"
