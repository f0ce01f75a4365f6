"""Tells twistd of crproxy."""

from twisted.application.service import ServiceMaker

crproxy = ServiceMaker("crproxy", "crproxy.tap", "A mirror proxy for every container registry.", "crproxy")
