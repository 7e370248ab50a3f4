environment = "prod"
account     = "093646564004"
region      = "af-south-1"
