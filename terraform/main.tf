# The resources of access management besides the functions: its table and its API.

locals {
  stem = "${var.prefix}-${var.environment}"
  tags = {
    Project     = var.prefix
    Environment = var.environment
    ManagedBy   = "terraform"
  }
}

resource "aws_dynamodb_table" "access_management" {
  name         = "${local.stem}-ddb-access-management"
  billing_mode = "PAY_PER_REQUEST"
  # Provider 6 prefers `key_schema`, and warns; 3.39 has only these.
  hash_key  = "PK"
  range_key = "SK"
  tags      = local.tags

  attribute {
    name = "PK"
    type = "S"
  }

  attribute {
    name = "SK"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  lifecycle {
    # The table contains all access rights, so a plan that would delete it is refused.
    prevent_destroy = true
  }
}

resource "aws_api_gateway_rest_api" "access" {
  name        = "${local.stem}-apigw"
  description = "The access platform's API"
  tags        = local.tags

  endpoint_configuration {
    types = ["REGIONAL"]
  }
}
