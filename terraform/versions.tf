terraform {
  required_version = ">= 1.10.0" # use_lockfile

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 3.39, < 7.0"
    }
  }

  # The bucket and the region depend on the environment: -backend-config (README.md).
  backend "s3" {
    key          = "access-management/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account]

  # Providers before 5 ignore AWS_ENDPOINT_URL. Services that the provider itself calls are also listed:
  # it reads the account's platforms from EC2 when it starts, and would wait for the real EC2.
  dynamic "endpoints" {
    for_each = var.endpoint == "" ? [] : [var.endpoint]

    content {
      apigateway = endpoints.value
      dynamodb   = endpoints.value
      ec2        = endpoints.value
      iam        = endpoints.value
      sts        = endpoints.value
    }
  }
}
