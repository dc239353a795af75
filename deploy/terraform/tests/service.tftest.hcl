mock_provider "aws" {}

variables {
  image                    = "registry.example.com/integration-service:1"
  vpc_id                   = "vpc-1"
  task_subnet_ids          = ["subnet-a", "subnet-b"]
  load_balancer_subnet_ids = ["subnet-c", "subnet-d"]
  execution_role_arn       = "arn:aws:iam::123456789012:role/execution"
  database_url_secret_arn  = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"
  keys_secret_arn          = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:keys-AbCdEf"
  certificate_arn          = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
  allowed_cidr_blocks      = ["10.0.0.0/8"]
  environment              = { LOG_LEVEL = "warning" }
}

run "service" {
  assert {
    condition = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets == [
      { name = "KEYS", valueFrom = var.keys_secret_arn }
    ]
    error_message = "the keys come from the secret, by its ARN"
  }
  assert {
    condition = jsondecode(aws_ecs_task_definition.this.container_definitions)[1].dependsOn == [
      { containerName = "keys", condition = "SUCCESS" }
    ]
    error_message = "the service starts when it has its keys"
  }
  assert {
    condition = jsondecode(aws_ecs_task_definition.this.container_definitions)[1].secrets == [
      { name = "DATABASE_URL", valueFrom = var.database_url_secret_arn }
    ]
    error_message = "DATABASE_URL comes from the secret, by its ARN"
  }
  assert {
    condition     = !strcontains(jsonencode(jsondecode(aws_ecs_task_definition.this.container_definitions)[1].environment), "DATABASE_URL")
    error_message = "no secret is among the settings"
  }
  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.this.container_definitions)[1].environment, { name = "LOG_LEVEL", value = "warning" })
    error_message = "settings reach the container"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[1].readonlyRootFilesystem
    error_message = "the root file system is read-only"
  }
  assert {
    condition     = aws_lb_target_group.this.health_check[0].path == "/readiness"
    error_message = "the load balancer asks /readiness"
  }
  assert {
    condition     = aws_ecs_service.this.network_configuration[0].assign_public_ip == false
    error_message = "tasks have no public address"
  }
  assert {
    condition     = aws_lb.this.internal
    error_message = "the load balancer is internal"
  }
  assert {
    condition     = aws_ecs_service.this.deployment_circuit_breaker[0].enable && aws_ecs_service.this.deployment_circuit_breaker[0].rollback
    error_message = "a failing deployment is rolled back"
  }
  assert {
    condition     = tonumber(local.settings.PRE_DRAIN_DELAY) + tonumber(local.settings.DRAIN_TIMEOUT) < jsondecode(aws_ecs_task_definition.this.container_definitions)[1].stopTimeout
    error_message = "the container has the time to end in order"
  }
}
