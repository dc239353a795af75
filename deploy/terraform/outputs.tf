output "load_balancer_dns_name" {
  description = "Where the service is, for a CNAME or alias of your own."
  value       = aws_lb.this.dns_name
}

output "load_balancer_zone_id" {
  description = "Zone of that name, for an alias record."
  value       = aws_lb.this.zone_id
}

output "task_security_group_id" {
  description = "Let this group reach the database."
  value       = aws_security_group.task.id
}

output "service_name" {
  description = "The ECS service."
  value       = aws_ecs_service.this.name
}

output "cluster_name" {
  description = "The ECS cluster."
  value       = aws_ecs_cluster.this.name
}
