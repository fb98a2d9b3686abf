output "directory_url" {
  description = "Where the directory is, for machines of this network."
  value       = "https://${aws_network_interface.directory.private_ip}:7400"
}

output "read_fingerprint" {
  description = "What prints the fingerprint of the directory's CA, some minutes after the first apply."
  value = join(" ", [
    "aws ec2 get-console-output --latest --region ${local.region} --instance-id ${aws_instance.directory.id}",
    "--output text | grep -o 'CA sha256:[0-9a-f]*'",
  ])
}

output "peers" {
  description = "The peers' private addresses, by name."
  value       = { for peer in aws_instance.peer : peer.tags.Name => peer.private_ip }
}

output "directory_public_ip" {
  description = "Where peers outside find the directory, with directory_public_ip."
  value       = one(aws_eip.directory[*].public_ip)
}
