"""RVC2: Intel MyriadX, compiled by OpenVINO 2022.2."""
