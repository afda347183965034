"""RVC2, all of its stages: Intel MyriadX, by OpenVINO 2022.2."""
