"""RVC3, all of its stages: Intel Keem Bay, by OpenVINO 2022.3.2."""
