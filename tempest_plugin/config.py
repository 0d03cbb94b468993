# SPDX-License-Identifier: Apache-2.0
"""The options of group ``[bsdgate]`` in tempest.conf, which describe the cluster under test."""

from oslo_config import cfg

GROUP = cfg.OptGroup(name="bsdgate", title="OpenStack on FreeBSD")

OPTIONS = [
    cfg.ListOpt(
        "catalog_interfaces",
        default=["public", "internal", "admin"],
        help="Catalogue interfaces that can be reached from the machine that runs the tests.",
    ),
    cfg.StrOpt(
        "hardware_type",
        default="fake-hardware",
        help="Hardware type of the nodes that the tests enroll. These nodes have no real board, "
        "so the deploy interface 'fake' of this hardware type must be enabled.",
    ),
    cfg.IntOpt(
        "provision_timeout",
        default=60,
        min=1,
        help="Maximum number of seconds for one provision step of a node that the tests enrolled.",
    ),
    cfg.StrOpt(
        "purecap_trait",
        default="CUSTOM_CHERI_PURECAP",
        help="Trait of the boards that run the pure-capability ABI of CHERI.",
    ),
    cfg.StrOpt(
        "foreign_architecture",
        default="s390x",
        help="Processor architecture, as in the image property hw_architecture, that no "
        "compute host of the cluster has.",
    ),
    cfg.IntOpt(
        "underlay_mtu",
        default=1500,
        min=1280,
        help="Maximum size, in bytes, of an IP packet on the physical network between hosts.",
    ),
    cfg.IntOpt(
        "underlay_ip_version",
        default=4,
        choices=[4, 6],
        help="IP version of the tunnels between hosts.",
    ),
]
