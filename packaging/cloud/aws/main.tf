# One directory and some peers. docs/cloud.md tells the order of things, and who can read what.

data "aws_region" "here" {}

data "aws_caller_identity" "here" {}

data "aws_subnet" "here" {
  id = var.subnet_id
}

data "aws_ami" "debian" {
  count       = var.ami == null ? 1 : 0
  most_recent = true
  owners      = ["136693071363"] # Debian

  filter {
    name   = "name"
    values = ["debian-12-amd64-*"]
  }
}

locals {
  ami    = var.ami == null ? data.aws_ami.debian[0].id : var.ami
  region = data.aws_region.here.name
  ssh    = var.key_name == null ? [] : var.ssh_cidrs

  # Root runs it on each machine: the command is no secret, what it prints is.
  password_command = join(" ", [
    "command -v aws >/dev/null || { apt-get -qq update && apt-get -qq -y install awscli; } >&2;",
    "aws ssm get-parameter --region ${local.region} --name ${var.password_parameter} --with-decryption",
    "--query Parameter.Value --output text",
  ])
}

# The password's parameter, and nothing else, is for these machines to read.
resource "aws_iam_role" "machine" {
  name_prefix = "${var.name}-"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "password" {
  name_prefix = "password-"
  role        = aws_iam_role.machine.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect = "Allow"
      Action = "ssm:GetParameter"
      Resource = join(":", [
        "arn:aws:ssm", local.region, data.aws_caller_identity.here.account_id, "parameter${var.password_parameter}",
      ])
    }]
  })
}

resource "aws_iam_instance_profile" "machine" {
  name_prefix = "${var.name}-"
  role        = aws_iam_role.machine.name
}

resource "aws_security_group" "directory" {
  name_prefix = "${var.name}-directory-"
  description = "p2p-directory"
  vpc_id      = data.aws_subnet.here.vpc_id
}

resource "aws_security_group" "peers" {
  name_prefix = "${var.name}-peers-"
  description = "p2pd"
  vpc_id      = data.aws_subnet.here.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "directory_from_peers" {
  security_group_id            = aws_security_group.directory.id
  description                  = "the directory, for the peers"
  ip_protocol                  = "tcp"
  from_port                    = 7400
  to_port                      = 7400
  referenced_security_group_id = aws_security_group.peers.id
}

resource "aws_vpc_security_group_ingress_rule" "directory_from_clients" {
  for_each          = toset(var.client_cidrs)
  security_group_id = aws_security_group.directory.id
  description       = "the directory, for peers elsewhere"
  ip_protocol       = "tcp"
  from_port         = 7400
  to_port           = 7400
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_ingress_rule" "peers_from_peers" {
  security_group_id            = aws_security_group.peers.id
  description                  = "files, among peers"
  ip_protocol                  = "tcp"
  from_port                    = 7401
  to_port                      = 7401
  referenced_security_group_id = aws_security_group.peers.id
}

resource "aws_vpc_security_group_ingress_rule" "peers_from_directory" {
  security_group_id            = aws_security_group.peers.id
  description                  = "the directory dials a peer that logs in, to tell whether others can"
  ip_protocol                  = "tcp"
  from_port                    = 7401
  to_port                      = 7401
  referenced_security_group_id = aws_security_group.directory.id
}

resource "aws_vpc_security_group_ingress_rule" "peers_from_elsewhere" {
  for_each          = toset(var.peer_cidrs)
  security_group_id = aws_security_group.peers.id
  description       = "files, with peers elsewhere"
  ip_protocol       = "tcp"
  from_port         = 7401
  to_port           = 7401
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_ingress_rule" "ssh_directory" {
  for_each          = toset(local.ssh)
  security_group_id = aws_security_group.directory.id
  description       = "ssh"
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_ingress_rule" "ssh_peers" {
  for_each          = toset(local.ssh)
  security_group_id = aws_security_group.peers.id
  description       = "ssh"
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_egress_rule" "out" {
  for_each = {
    directory = aws_security_group.directory.id
    peers     = aws_security_group.peers.id
  }

  security_group_id = each.value
  description       = "packages, AWS, other peers"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

# Its address is known before the machine is, so that the certificate can name it.
resource "aws_network_interface" "directory" {
  subnet_id       = var.subnet_id
  security_groups = [aws_security_group.directory.id]
  description     = "${var.name}-directory"
}

# A machine on an interface that was there before gets no public address by itself.
resource "aws_eip" "directory" {
  count             = var.directory_public_ip ? 1 : 0
  domain            = "vpc"
  network_interface = aws_network_interface.directory.id
  tags              = { Name = "${var.name}-directory" }
}

resource "aws_instance" "directory" {
  ami                  = local.ami
  instance_type        = var.instance_type
  key_name             = var.key_name
  iam_instance_profile = aws_iam_instance_profile.machine.name
  tags                 = { Name = "${var.name}-directory" }

  user_data = templatefile("${path.module}/../directory.user-data.yaml", {
    package          = var.directory_package.url
    sha256           = var.directory_package.sha256
    listen           = jsonencode(["[::]:7400"])
    names            = jsonencode(concat(var.names, [aws_network_interface.directory.private_ip], aws_eip.directory[*].public_ip))
    account          = var.account
    password_command = local.password_command
  })

  network_interface {
    network_interface_id = aws_network_interface.directory.id
    device_index         = 0
  }

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted   = true
    volume_type = "gp3"
  }

  # It has the CA and the accounts: a newer image or package is no reason to lose them.
  lifecycle {
    ignore_changes = [ami, user_data]
  }

  depends_on = [aws_iam_role_policy.password, aws_vpc_security_group_egress_rule.out]
}

resource "aws_instance" "peer" {
  count                  = var.ca_fingerprint == "" ? 0 : var.peers
  ami                    = local.ami
  instance_type          = var.instance_type
  key_name               = var.key_name
  subnet_id              = var.subnet_id
  vpc_security_group_ids = [aws_security_group.peers.id]
  iam_instance_profile   = aws_iam_instance_profile.machine.name
  tags                   = { Name = "${var.name}-${count.index + 1}" }

  user_data = templatefile("${path.module}/../peer.user-data.yaml", {
    package          = var.peer_package.url
    sha256           = var.peer_package.sha256
    listen           = jsonencode(["[::]:7401"])
    peer_name        = "${var.name}-${count.index + 1}"
    directory_url    = "https://${aws_network_interface.directory.private_ip}:7400"
    ca_fingerprint   = var.ca_fingerprint
    account          = var.account
    password_command = local.password_command
  })

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted   = true
    volume_type = "gp3"
    volume_size = var.peer_disk_gb
  }

  lifecycle {
    ignore_changes = [ami, user_data]
  }

  depends_on = [aws_iam_role_policy.password, aws_vpc_security_group_egress_rule.out]
}
