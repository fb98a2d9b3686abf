# The module of packaging/cloud/aws without AWS: what it would make. tests/packages/cloud.sh runs it.

mock_provider "aws" {
  override_during = plan

  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }

  mock_data "aws_subnet" {
    defaults = { vpc_id = "vpc-1" }
  }

  mock_data "aws_ami" {
    defaults = { id = "ami-1" }
  }

  mock_resource "aws_network_interface" {
    defaults = { private_ip = "10.0.0.4" }
  }

  mock_resource "aws_instance" {
    defaults = { id = "i-1", private_ip = "10.0.0.9" }
  }
}

variables {
  subnet_id          = "subnet-1"
  password_parameter = "/p2p/password"

  directory_package = {
    url    = "https://packages.example/p2p-directory.deb"
    sha256 = "0000000000000000000000000000000000000000000000000000000000000001"
  }

  peer_package = {
    url    = "https://packages.example/p2pd.deb"
    sha256 = "0000000000000000000000000000000000000000000000000000000000000002"
  }
}

run "a_directory_alone" {
  command = plan

  assert {
    condition     = length(aws_instance.peer) == 0
    error_message = "There are peers before anybody knows the CA."
  }

  assert {
    condition     = strcontains(aws_instance.directory.user_data, "names  = [\"10.0.0.4\"]")
    error_message = "The certificate does not name the address that peers use."
  }

  assert {
    condition     = aws_instance.directory.metadata_options[0].http_tokens == "required" && aws_instance.directory.root_block_device[0].encrypted
    error_message = "IMDSv2 is not required, or the disk is not encrypted."
  }

  assert {
    condition = length(concat(
      values(aws_vpc_security_group_ingress_rule.directory_from_clients),
      values(aws_vpc_security_group_ingress_rule.peers_from_elsewhere),
      values(aws_vpc_security_group_ingress_rule.ssh_directory),
      values(aws_vpc_security_group_ingress_rule.ssh_peers),
    )) == 0
    error_message = "Something is open that nobody asked for."
  }
}

run "with_peers" {
  command = plan

  variables {
    ca_fingerprint = "sha256:0000000000000000000000000000000000000000000000000000000000000003"
    client_cidrs   = ["192.0.2.0/24"]
    ssh_cidrs      = ["198.51.100.0/24"]
  }

  assert {
    condition     = [for peer in aws_instance.peer : peer.tags.Name] == ["p2p-1", "p2p-2"]
    error_message = "There are not two peers."
  }

  assert {
    condition = alltrue([
      for peer in aws_instance.peer :
      strcontains(peer.user_data, "urls = [\"https://10.0.0.4:7400\"]") && strcontains(peer.user_data, var.ca_fingerprint)
    ])
    error_message = "A peer does not know the directory or its CA."
  }

  assert {
    condition = alltrue([
      for peer in aws_instance.peer : peer.metadata_options[0].http_tokens == "required" && peer.root_block_device[0].encrypted
    ])
    error_message = "IMDSv2 is not required, or a disk is not encrypted."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.directory_from_clients : "${rule.cidr_ipv4} ${rule.from_port}-${rule.to_port}"] == ["192.0.2.0/24 7400-7400"]
    error_message = "Clients do not reach the directory, or more than it."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.ssh_peers) == 0
    error_message = "ssh is open without a key."
  }
}

run "a_url_that_is_a_command" {
  command = plan

  variables {
    peer_package = {
      url    = "https://packages.example/'; reboot; '"
      sha256 = "0000000000000000000000000000000000000000000000000000000000000002"
    }
  }

  expect_failures = [var.peer_package]
}
