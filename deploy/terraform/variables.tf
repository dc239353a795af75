variable "name" {
  description = "Name of the service and of what belongs to it."
  type        = string
  default     = "integration-service"
}

variable "image" {
  description = "The container image with its tag or digest."
  type        = string
}

variable "vpc_id" {
  description = "The VPC that the subnets are in."
  type        = string
}

variable "task_subnet_ids" {
  description = "Private subnets for the tasks; they must reach the image's registry, the logs, the secret and the database."
  type        = list(string)
}

variable "load_balancer_subnet_ids" {
  description = "Subnets for the load balancer, in two zones or more."
  type        = list(string)
}

variable "execution_role_arn" {
  description = "Role of ECS itself: pulls the image, writes logs, reads the secret."
  type        = string
}

variable "task_role_arn" {
  description = "Role of the running task; the service asks nothing of AWS."
  type        = string
  default     = null
}

variable "database_url_secret_arn" {
  description = "ARN of the secret whose value is DATABASE_URL (postgresql://…)."
  type        = string
}

variable "keys_secret_arn" {
  description = "ARN of the secret whose value is the file of keys (docs/access.md); it holds what keys are recognised by, and no key."
  type        = string
}

variable "certificate_arn" {
  description = "Certificate for HTTPS at the load balancer."
  type        = string
}

variable "allowed_cidr_blocks" {
  description = "Who reaches the load balancer. They need a key besides."
  type        = list(string)
}

variable "desired_count" {
  description = "Number of tasks."
  type        = number
  default     = 2
}

variable "cpu" {
  description = "CPU units of a task (1024 are one)."
  type        = number
  default     = 512
}

variable "memory" {
  description = "Memory of a task, in MiB."
  type        = number
  default     = 1024
}

variable "environment" {
  description = "Further settings, none of them secret; see docs/configuration.md."
  type        = map(string)
  default     = {}
}

variable "log_retention_days" {
  description = "How long log lines are kept."
  type        = number
  default     = 30
}
