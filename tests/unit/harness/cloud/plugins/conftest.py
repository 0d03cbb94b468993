# SPDX-License-Identifier: Apache-2.0
"""oslo on threads, as the embedded cloud's nurseries choose before they import a service."""

import warnings

with warnings.catch_warnings():
    # What oslo and its libraries say of one another is not ours to mend.
    warnings.simplefilter("ignore")
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)
    import oslo_messaging  # noqa: F401
    from oslo_db.sqlalchemy import enginefacade  # noqa: F401
