"""crproxy as a Twisted application: `twistd -ny crproxy.tac`, the same as `twistd -n crproxy`.

For those who start more than one service in a process, or want other options than the configuration file
holds: they go into the list below, one argument an item.
"""

from twisted.application.service import Application

from crproxy.tap import Options, makeService

options = Options()
options.parseOptions([])

application = Application("crproxy")
makeService(options).setServiceParent(application)
