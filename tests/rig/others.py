"""Tests that run something as another user."""
import os

import pytest

OTHERS_RUN = pytest.mark.skipif(os.geteuid() != 0 or not os.stat("/").st_mode & 1,
                                reason="only root can be another user, who must be let into /")
