<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Exception;

/**
 * libplasm or the plasm command is missing, or failed in itself.
 */
final class DriverException extends PlasmException
{
}
