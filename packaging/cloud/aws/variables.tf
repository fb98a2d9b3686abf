variable "name" {
  description = "What names of resources and peers begin with."
  type        = string
  default     = "p2p"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,30}$", var.name))
    error_message = "Small letters, digits and hyphens, at most 31."
  }
}

variable "subnet_id" {
  description = "The subnet of all machines. They need a way out to Debian's mirrors, to the packages and to AWS."
  type        = string
}

variable "directory_public_ip" {
  description = "Gives the directory a public address: for a subnet whose machines have no other way out, and for peers outside."
  type        = bool
  default     = false
}

variable "client_cidrs" {
  description = "Where peers outside of this module are: they may reach the directory."
  type        = list(string)
  default     = []
}

variable "peer_cidrs" {
  description = "Which of them may exchange files with the peers here."
  type        = list(string)
  default     = []
}

variable "directory_package" {
  description = "The .deb of p2p-directory, and its SHA-256."
  type        = object({ url = string, sha256 = string })

  validation {
    condition     = can(regex("^https?://[A-Za-z0-9._~:/?&=%+@,-]+$", var.directory_package.url))
    error_message = "Not a URL that can be put in quotes."
  }

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.directory_package.sha256))
    error_message = "A SHA-256 has 64 hex digits."
  }
}

variable "peer_package" {
  description = "The .deb of p2pd, and its SHA-256."
  type        = object({ url = string, sha256 = string })

  validation {
    condition     = can(regex("^https?://[A-Za-z0-9._~:/?&=%+@,-]+$", var.peer_package.url))
    error_message = "Not a URL that can be put in quotes."
  }

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.peer_package.sha256))
    error_message = "A SHA-256 has 64 hex digits."
  }
}

variable "names" {
  description = "Names and addresses that clients outside call the directory; its private address is added."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.names : can(regex("^[A-Za-z0-9.:-]+$", name))])
    error_message = "Host names and addresses."
  }
}

variable "account" {
  description = "The account that the directory gets, and with which the peers log in."
  type        = string
  default     = "lab"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._-]{0,31}$", var.account))
    error_message = "An account is [a-z0-9][a-z0-9._-]{0,31}."
  }
}

variable "password_parameter" {
  description = "The SecureString of the Parameter Store that has its password. Made by hand: what Terraform makes is in its state."
  type        = string

  validation {
    condition     = can(regex("^/[A-Za-z0-9._/-]+$", var.password_parameter))
    error_message = "The name of a parameter, beginning with a slash."
  }
}

variable "ca_fingerprint" {
  description = "The directory's CA, once it runs: see the output read_fingerprint. Until then there are no peers."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(sha256:[0-9a-f]{64})?$", var.ca_fingerprint))
    error_message = "Write sha256: and 64 hex digits."
  }
}

variable "peers" {
  description = "How many peers."
  type        = number
  default     = 2
}

variable "ami" {
  description = "A Debian or Ubuntu for the packages' architecture; default: the newest Debian 12 for amd64."
  type        = string
  default     = null
}

variable "instance_type" {
  description = "Of all machines."
  type        = string
  default     = "t3.small"
}

variable "peer_disk_gb" {
  description = "The size of a peer's encrypted disk."
  type        = number
  default     = 50
}

variable "key_name" {
  description = "A key pair for ssh; default: no ssh."
  type        = string
  default     = null
}

variable "ssh_cidrs" {
  description = "From where ssh is open, when there is a key."
  type        = list(string)
  default     = []
}
