output "table_name" {
  value = aws_dynamodb_table.access_management.name
}

output "api_id" {
  value = aws_api_gateway_rest_api.access.id
}

output "api_name" {
  value = aws_api_gateway_rest_api.access.name
}
