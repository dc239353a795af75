# integration-service on ECS Fargate: nginx and the service in one container, DATABASE_URL from a
# secret, behind an internal load balancer.

data "aws_region" "current" {}

locals {
  port = 8000
  # At the end of a task: SIGTERM, /readiness is 503, requests go on while the load balancer takes the
  # task out; then what is left is answered. Together less than the container's stopTimeout.
  settings = merge({
    PRE_DRAIN_DELAY = "20"
    DRAIN_TIMEOUT   = "20"
    DB_POOL_SIZE    = "3"
    KEYS_FILE       = "/var/lib/integration-service/keys" # set, so that it must be there
  }, var.environment)
  log = {
    logDriver = "awslogs"
    options = {
      "awslogs-group"         = aws_cloudwatch_log_group.this.name
      "awslogs-region"        = data.aws_region.current.name
      "awslogs-stream-prefix" = "service"
    }
  }
}

resource "aws_ecs_cluster" "this" {
  name = var.name
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_security_group" "load_balancer" {
  name        = "${var.name}-load-balancer"
  description = "Who reaches the load balancer of ${var.name}."
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  for_each = toset(var.allowed_cidr_blocks)

  security_group_id = aws_security_group.load_balancer.id
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  security_group_id            = aws_security_group.load_balancer.id
  referenced_security_group_id = aws_security_group.task.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_security_group" "task" {
  name        = "${var.name}-task"
  description = "Tasks of ${var.name}: reached by its load balancer alone."
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "task" {
  security_group_id            = aws_security_group.task.id
  referenced_security_group_id = aws_security_group.load_balancer.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_egress_rule" "task" {
  security_group_id = aws_security_group.task.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_lb" "this" {
  name               = var.name
  internal           = true
  load_balancer_type = "application"
  subnets            = var.load_balancer_subnet_ids
  security_groups    = [aws_security_group.load_balancer.id]

  drop_invalid_header_fields = true
}

resource "aws_lb_target_group" "this" {
  name                 = var.name
  vpc_id               = var.vpc_id
  port                 = local.port
  protocol             = "HTTP"
  target_type          = "ip"
  deregistration_delay = 20

  health_check {
    path                = "/readiness"
    matcher             = "200"
    interval            = 10
    timeout             = 6
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = var.execution_role_arn
  task_role_arn            = var.task_role_arn

  # A replica of the database, which can be made anew. The image says whose the directory is.
  volume {
    name = "state"
  }

  # Secrets are variables here, but the keys are a file: the first container writes it, and ends.
  container_definitions = jsonencode([{
    name                   = "keys"
    image                  = var.image
    essential              = false
    readonlyRootFilesystem = true
    user                   = "10001:10001"
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    mountPoints            = [{ sourceVolume = "state", containerPath = "/var/lib/integration-service" }]
    entryPoint             = ["sh", "-c", "umask 077 && printf '%s\\n' \"$KEYS\" >/var/lib/integration-service/keys"]
    command                = []
    secrets                = [{ name = "KEYS", valueFrom = var.keys_secret_arn }]
    logConfiguration       = local.log
    }, {
    name                   = "service"
    dependsOn              = [{ containerName = "keys", condition = "SUCCESS" }]
    image                  = var.image
    essential              = true
    readonlyRootFilesystem = true
    user                   = "10001:10001"
    stopTimeout            = 60
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    portMappings           = [{ containerPort = local.port, protocol = "tcp" }]
    mountPoints            = [{ sourceVolume = "state", containerPath = "/var/lib/integration-service" }]
    environment            = [for name, value in local.settings : { name = name, value = value }]
    secrets                = [{ name = "DATABASE_URL", valueFrom = var.database_url_secret_arn }]
    healthCheck = {
      command     = ["CMD", "integration-service", "probe"]
      interval    = 10
      timeout     = 10
      retries     = 3
      startPeriod = 30
    }
    logConfiguration = local.log
  }])
}

resource "aws_ecs_service" "this" {
  name            = var.name
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.this.arn
  launch_type     = "FARGATE"
  desired_count   = var.desired_count

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 30

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.task_subnet_ids
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = "service"
    container_port   = local.port
  }

  depends_on = [aws_lb_listener.https]
}
