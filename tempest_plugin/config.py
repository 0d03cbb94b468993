# SPDX-License-Identifier: Apache-2.0
"""The options of group ``[bsdgate]`` in tempest.conf: what the tests need to know of a cluster."""

from oslo_config import cfg

GROUP = cfg.OptGroup(name="bsdgate", title="OpenStack on FreeBSD")

OPTIONS = [
    cfg.ListOpt(
        "catalog_interfaces",
        default=["public", "internal", "admin"],
        help="Interfaces of the catalogue that the machine running the tests can reach.",
    ),
    cfg.StrOpt(
        "hardware_type",
        default="fake-hardware",
        help="Hardware type of the nodes that the tests enroll themselves. They stand for boards "
        "that are not there, so its deploy interface 'fake' must be enabled.",
    ),
    cfg.IntOpt(
        "provision_timeout",
        default=60,
        min=1,
        help="Seconds within which a node that the tests enrolled makes any one provision step.",
    ),
    cfg.StrOpt(
        "purecap_trait",
        default="CUSTOM_CHERI_PURECAP",
        help="Trait of the boards that run the pure-capability ABI of CHERI.",
    ),
    cfg.StrOpt(
        "foreign_architecture",
        default="s390x",
        help="A processor architecture, as in the image property hw_architecture, that no "
        "compute host of the cluster runs.",
    ),
    cfg.IntOpt(
        "underlay_mtu",
        default=1500,
        min=1280,
        help="Largest IP packet, in bytes, that the physical network between hosts carries.",
    ),
    cfg.IntOpt(
        "underlay_ip_version",
        default=4,
        choices=[4, 6],
        help="IP version that tunnels between hosts use.",
    ),
]
