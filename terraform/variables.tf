variable "environment" {
  type        = string
  description = "dev, sit or prod"
}

variable "account" {
  type        = string
  description = "The environment's account; credentials of any other are refused"
}

variable "region" {
  type        = string
  description = "The environment's region"
}

variable "prefix" {
  type        = string
  description = "What every name begins with"
  default     = "bbws-access"
}

variable "endpoint" {
  type        = string
  description = "Where AWS answers, if it is not AWS itself (TF_VAR_endpoint)"
  default     = ""
}
